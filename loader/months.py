"""Names of months in other languages, as sheets write them: strptime knows those of English.

Names of the Unicode CLDR, of languages in which none means another month than it does in the others.
https://www.unicode.org/cldr/charts/latest/summary/root.html
"""

import re

_ENGLISH = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_NAMES = {
    "German": "januar februar märz april mai juni juli august september oktober november dezember",
    "German, short": "jän feb mär apr mai jun jul aug sept okt nov dez",
    "French": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "French, short": "janv févr mars avr mai juin juil août sept oct nov déc",
    "Spanish": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "Spanish, short": "ene feb mar abr may jun jul ago sept oct nov dic",
    "Portuguese": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "Portuguese, short": "jan fev mar abr mai jun jul ago set out nov dez",
    "Italian": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "Italian, short": "gen feb mar apr mag giu lug ago set ott nov dic",
    "Dutch": "januari februari maart april mei juni juli augustus september oktober november december",
    "Dutch, short": "jan feb mrt apr mei jun jul aug sep okt nov dec",
    "Polish": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "Polish, short": "sty lut mar kwi maj cze lip sie wrz paź lis gru",
    "Turkish": "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık",
    "Turkish, short": "oca şub mar nis may haz tem ağu eyl eki kas ara",
    "Danish, Norwegian": "januar februar marts april maj juni juli august september oktober november december",
    "Swedish": "januari februari mars april maj juni juli augusti september oktober november december",
    "Russian": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "Russian, short": "янв фев мар апр май июн июл авг сен окт ноя дек",
}
_NUMBERS = {name: number for names in _NAMES.values() for number, name in enumerate(names.split())}
NAMES = frozenset(_NUMBERS) | {name.casefold() for name in _ENGLISH} | {name[:3].casefold() for name in _ENGLISH}
_WORD = re.compile(r"([^\W\d_]{3,})\.?")


def in_english(text: str, form: str) -> str:
    """The text of a date with names of months in English, as strptime reads them by this format; a dot behind goes."""

    def english(match: re.Match[str]) -> str:
        number = _NUMBERS.get(match[1].casefold())
        if number is None:
            return match[0]
        return _ENGLISH[number] if "%B" in form else _ENGLISH[number][:3]

    return _WORD.sub(english, text)
