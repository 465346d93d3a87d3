"""The words that sheets use for the canonical fields: in English, Spanish, Portuguese, German and French, and a few in
Dutch, Italian, Polish, Turkish, Danish, Swedish and Finnish, and in the technical names of SAP.

Written as `words` makes them of a header: small letters, no accents, one space. A draft of a feed is made with these
(draft.py); a load never guesses.
"""

import re
import unicodedata

# Of a discount, the cells tell whether it is discount_rate or discount_amount. Where two fields have the same word
# (customer, product), the cells tell as well: codes or names.
DISCOUNT = "discount"

PHRASES: dict[str, list[str]] = {
    field: phrases.split(", ")
    for field, phrases in {
        "sale_id": (
            "sale id, sales id, order id, order, order no, order number, invoice, invoice id, invoice no, invoice "
            "number, transaction, transaction id, transaction no, receipt, receipt id, receipt no, receipt number, "
            "ticket, ticket no, ticket number, bill no, purchase id, document no, pedido, id pedido, numero pedido, "
            "no pedido, id venta, venta, venta id, factura, no factura, numero factura, folio, recibo, transaccion, "
            "id transaccion, comprobante, id venda, venda, nota fiscal, numero nota fiscal, nf, cupom, fatura, no "
            "fatura, transacao, codigo venda, beleg, belegnummer, beleg nr, bestellung, bestellnummer, bestell nr, "
            "auftrag, auftragsnummer, auftrag nr, rechnung, rechnungsnummer, rechnung nr, bon, bon nr, bonnummer, "
            "verkauf id, commande, id commande, no commande, numero commande, facture, no facture, numero facture, "
            "vente id, id vente, ticket caisse, id, vbeln, zamowienie, nr zamowienia, nr paragonu, siparis no, fis "
            "no, ordine, no ordine, bestelnummer, ordrenummer, bonnr, kvittering, ordernummer, kuitti"
        ),
        "line_number": "line, line no, line number, line id, row, linea, linha, position, pos, ligne, posnr",
        "sold_at": (
            "date, datetime, sale date, sales date, sold, sold at, sold on, order date, invoice date, transaction "
            "date, purchase date, date time, timestamp, created at, paid at, day, fecha, fecha venta, fecha pedido, "
            "fecha factura, fecha hora, fecha compra, dia, data, data venda, data pedido, data compra, data fatura, "
            "data emissao, data hora, emissao, datum, verkaufsdatum, bestelldatum, rechnungsdatum, belegdatum, "
            "auftragsdatum, kaufdatum, date vente, date commande, date facture, date achat, jour, posting date, "
            "purchased on, order purchase timestamp, erdat, audat, fkdat, data sprzedazy, tarih, data ordine, data "
            "vendita, besteldatum, dato, ordredato, orderdatum, paiva"
        ),
        "product_id": (
            "product id, product code, product no, product number, sku, stock code, item id, item no, item number, "
            "item code, article id, article no, barcode, ean, upc, asin, product, item, id producto, codigo producto,"
            " codigo articulo, codigo, referencia, ref, producto, articulo, id produto, codigo produto, codigo item, "
            "produto, artikelnummer, artikel nr, artikel id, produktnummer, produkt nr, produkt id, artikel, produkt,"
            " code produit, id produit, reference, code article, produit, article, lineitem sku, product sku, item "
            "sku, system id, inventory item code, matnr, kod, kod towaru, urun kodu, codice, codice articolo, "
            "artikelnr, varenr, varenummer, tuotekoodi"
        ),
        "product_name": (
            "product name, product, product description, product title, description, item name, item, item "
            "description, title, lineitem name, article, producto, nombre producto, articulo, descripcion, "
            "descripcion producto, produto, nome produto, descricao, descricao produto, artikel, artikelname, "
            "artikelbezeichnung, bezeichnung, produkt, produktname, beschreibung, produit, nom produit, libelle, "
            "designation, nom article, item title, memo description, arktx, nazwa, towar, urun adi, prodotto, "
            "descrizione, titel, omschrijving, varenavn, vare, vara, benamning, tuote"
        ),
        "product_category": (
            "category, product category, product line, product group, product type, group, department, item type, "
            "categoria, categoria producto, categoria produto, familia, grupo, rubro, linea producto, kategorie, "
            "warengruppe, produktkategorie, produktgruppe, gruppe, artikelgruppe, sparte, categorie, categorie "
            "produit, famille, rayon, groupe, kategoria, kategori"
        ),
        "quantity": (
            "quantity, qty, transaction qty, quantity sold, quantity ordered, units, units sold, unit sold, pieces, "
            "pcs, count, order quantity, lineitem quantity, qty sold, items sold, cantidad, cant, cantidad vendida, "
            "unidades, unidades vendidas, piezas, quantidade, qtd, qtde, quant, quantidade vendida, menge, anzahl, "
            "stuck, stuckzahl, verkaufte menge, quantite, qte, quantite vendue, nombre, nb, qty ordered, qty shipped,"
            " kwmeng, fkimg, ilosc, miktar, adet, quantita, aantal, antal, kpl, maara"
        ),
        "unit_price": (
            "unit price, price, price each, price per unit, sale price, sales price, selling price, item price, list "
            "price, retail price, lineitem price, precio, precio unitario, precio venta, precio unidad, p unitario, "
            "valor unitario, preco, preco unitario, preco venda, vl unitario, vlr unitario, preis, einzelpreis, "
            "stuckpreis, verkaufspreis, ek preis, preis pro stuck, e preis, prix, prix unitaire, prix vente, pu, prix"
            " unitaire ht, sold for, unit amount, netpr, cena, cena jedn, cena jednostkowa, birim fiyat, fiyat, "
            "prezzo, prezzo unitario, prijs, stuksprijs, verkoopprijs, stykpris, pris, hinta, yksikkohinta"
        ),
        DISCOUNT: (
            "discount, discounts, discount rate, discount percent, discount percentage, discount amount, discount "
            "applied, disc, lineitem discount, rebate, descuento, descuentos, dto, rebaja, bonificacion, porcentaje "
            "descuento, desconto, descontos, valor desconto, percentual desconto, rabatt, nachlass, rabattsatz, "
            "rabattbetrag, remise, remises, rabais, taux remise, promotion discount, rabat, indirim, sconto, korting,"
            " alennus"
        ),
        "unit_cost": (
            "unit cost, cost, cost price, cost per unit, cost each, purchase price, manufacturing price, costo, "
            "coste, costo unitario, coste unitario, precio costo, precio compra, custo, custo unitario, preco custo, "
            "preco compra, einkaufspreis, ek, stuckkosten, einstandspreis, kosten, cout, cout unitaire, prix achat, "
            "prix revient, kostpris, inkoopprijs"
        ),
        "tax_amount": (
            "tax, tax amount, taxes, sales tax, vat, vat amount, gst, impuesto, impuestos, iva, itbis, imposto, "
            "impostos, icms, steuer, mwst, ust, steuerbetrag, taxe, tva, montant tva"
        ),
        "shipping_cost": (
            "shipping, shipping cost, shipping fee, freight, freight value, delivery cost, delivery fee, postage, "
            "envio, costo envio, gastos envio, flete, frete, valor frete, custo envio, versand, versandkosten, "
            "lieferkosten, porto, livraison, frais livraison, frais port"
        ),
        "currency": "currency, currency code, moneda, divisa, moeda, wahrung, devise, monnaie, waerk",
        "payment_method": (
            "payment method, payment type, payment, payment mode, pay method, paid by, tender, metodo pago, forma "
            "pago, medio pago, pago, forma pagamento, metodo pagamento, meio pagamento, pagamento, zahlungsart, "
            "zahlungsmethode, zahlung, bezahlart, mode paiement, moyen paiement, paiement, mode reglement"
        ),
        "payment_status": (
            "payment status, financial status, paid, estado pago, status pagamento, situacao pagamento, "
            "zahlungsstatus, bezahlt, statut paiement, etat paiement"
        ),
        "payment_date": "payment date, fecha pago, data pagamento, zahlungsdatum, date paiement, date reglement",
        "customer_id": (
            "customer id, customer no, customer number, customer code, client id, buyer id, account no, member id, "
            "user id, customer, client, buyer, id cliente, codigo cliente, numero cliente, cliente, cliente id, "
            "kundennummer, kunden nr, kunden id, kunde, code client, id client, no client, numero client, kunnr"
        ),
        "customer_name": (
            "customer name, customer, client name, client, buyer, buyer name, billing name, customer full name, "
            "nombre cliente, cliente, comprador, nome cliente, kundenname, kunde, kaufer, nom client, acheteur"
        ),
        "store_id": (
            "store, store id, store no, store code, store name, shop, shop id, branch, branch id, outlet, location, "
            "tienda, id tienda, sucursal, local, almacen, loja, id loja, filial, unidade, geschaft, filiale, "
            "filialnummer, laden, markt, standort, magasin, id magasin, boutique, agence, vkbur, werks"
        ),
        "sales_channel": (
            "channel, sales channel, sale channel, order channel, source, order source, platform, marketplace, canal,"
            " canal venta, canal venda, canal ventas, kanal, vertriebskanal, verkaufskanal, canal vente"
        ),
        "sales_region": (
            "region, sales region, country, territory, area, state, province, city, zone, market, pais, ciudad, "
            "provincia, zona, estado, cidade, uf, regiao, land, gebiet, bundesland, stadt, ort, pays, ville, "
            "departement, secteur"
        ),
        "sales_representative": (
            "sales representative, sales rep, representative, salesperson, salesman, seller, sold by, clerk, cashier,"
            " employee, staff, agent, vendedor, vendedora, representante, cajero, empleado, verkaufer, verkauft von, "
            "mitarbeiter, vertreter, kassierer, vendeur, commercial, representant"
        ),
        "customer_rating": (
            "customer rating, rating, stars, review score, score, calificacion, valoracion, puntuacion, avaliacao, "
            "nota, bewertung, sterne, kundenbewertung, note, avis, evaluation"
        ),
        "delivery_status": (
            "delivery status, shipping status, order status, status, fulfillment status, state of order, estado "
            "entrega, estado pedido, estado envio, estatus, status entrega, status pedido, situacao, lieferstatus, "
            "bestellstatus, versandstatus, statut, statut livraison, statut commande, etat"
        ),
        "delivery_date": (
            "delivery date, ship date, shipping date, shipped date, delivered, delivered at, fecha entrega, fecha "
            "envio, data entrega, data envio, lieferdatum, versanddatum, date livraison, date expedition, shipment "
            "date"
        ),
        "line_type": "line type, transaction type, type, tipo linea, tipo, zeilenart, type ligne",
        "stated_total": (
            "total, total value, total amount, amount, sales, net sales, revenue, total price, total sales, line "
            "total, subtotal, sub total, total revenue, sales amount, turnover, total spent, importe, importe total, "
            "monto, monto total, total venta, venta total, precio total, ingresos, valor total, valor, total venda, "
            "preco total, receita, faturamento, gesamt, gesamtpreis, gesamtbetrag, betrag, summe, umsatz, "
            "nettoumsatz, zeilensumme, montant, montant total, total ligne, prix total, chiffre affaires, total ht, "
            "netwr, line amount, extended price, extended amount, ventas, importe ventas, vendas, ventes, montant "
            "ventes, wartosc, tutar, importo, bedrag, belob, summa"
        ),
        "stated_cost": (
            "total cost, cogs, cost of goods sold, cost amount, costo total, coste total, custo total, gesamtkosten, "
            "wareneinsatz, cout total"
        ),
        "stated_profit": (
            "profit, gross profit, margin amount, gross income, total profit, ganancia, utilidad, beneficio, lucro, "
            "lucro bruto, gewinn, rohertrag, rohgewinn, deckungsbeitrag, benefice, marge, profit brut"
        ),
    }.items()
}

CURRENCY_SIGNS = {"R$": "BRL", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "Rs": "INR"}
CURRENCIES = frozenset(
    re.findall(
        r"\w+",
        "USD EUR GBP BRL JPY INR CHF CAD AUD NZD MXN ARS CLP COP PEN UYU DOP CRC GTQ CNY SEK NOK DKK PLN CZK HUF RON "
        "TRY ZAR KRW SGD HKD THB IDR MYR PHP VND AED SAR ILS EGP NGN KES MAD XOF",
    )
)
MONTHS = ("month", "month number", "month name", "month no", "mes", "numero mes", "monat", "mois")

SOLD = re.compile(r"^(?:sales?|sold|ventas?|vendid[oa]|vendas?|verkauf|verkaufe|ventes?)$")
CANCELLED = re.compile(
    r"^(?:cancell?ed|cancel|cancell?ations?|void(?:ed)?|cancelad[oa]|cancelacion|cancelamento|anulad[oa]|anulacion|"
    r"storniert|storno|stornierung|annulee?|annulation|failed|declined|expired|fallid[oa]|rechazad[oa]|recusad[oa]|"
    r"fehlgeschlagen|abgelehnt|echouee?|refusee?)$"
)
RETURNED = re.compile(
    r"^(?:returned|returns?|refunded|refunds?|devuelt[oa]|devolucion(?:es)?|devolvid[oa]|devolucao|reembolso|retoure|"
    r"ruckgabe|gutschrift|zuruckgegeben|retournee?|retours?|remboursement)$"
)
ADJUSTED = re.compile(r"^(?:adjust(?:ed|ments?)|ajustes?|ajustement|korrektur|anpassung)$")
LINE_TYPES = {"sale": SOLD, "return": RETURNED, "cancellation": CANCELLED, "adjustment": ADJUSTED}

# A figure with such a word in its header is no money, whatever it is the product of.
MEASURES = frozenset({"weight", "kg", "kilos", "litres", "liters", "points", "minutes", "hours", "gewicht", "poids"})

_NUMBER = dict.fromkeys(("nr", "nro", "num", "number", "numero", "nummer"), "no")
_SMALL = frozenset(
    re.findall(r"\w+", "the of per de del da do das dos la el los las le les du des der die von a e y et und")
)


def words(header: str) -> str:
    """A header as PHRASES are written: `InvoiceNo`, `invoice_no` and `Invoice N°` are all `invoice no`."""
    text = re.sub(r"(?<=[a-zà-ÿ0-9])(?=[A-ZÀ-Ý])|(?<=[A-Z])(?=[A-Z][a-z])", " ", header)
    text = re.sub(r"[#№]|\b[nN][º°]|\b[nN][rR]?\.(?=\s|$)", " no ", text.replace("ß", "ss"))
    text = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text.casefold()).split())


def content_words(phrase: str) -> frozenset[str]:
    """Without the small words: `fecha de venta` and `fecha venta` are the same, and so are `nr`, `no` and `number`."""
    return frozenset(_NUMBER.get(word, word) for word in phrase.split()) - _SMALL


# Of a header with one of these, the cells may be order numbers: `N° da fatura`, `Ticket code`.
ORDER_WORDS = frozenset().union(*map(content_words, PHRASES["sale_id"])) - {"id", "no", "codigo", "caisse"}
