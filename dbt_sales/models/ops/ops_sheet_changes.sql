-- Bounded by the ledger's last sheets of each feed, whatever the number of their lines.
with files as (
    select * from {{ ref('stg_raw_sales__files') }}
),

profiles as (
    select * from {{ ref('stg_raw_sales__file_profiles') }}
),

latest as (
    select
        file_id,
        row_number() over (partition by feed order by received_at desc, file_id desc) as newest
    from files
    where status = 'loaded' and received_at > now() - interval '90 days'
),

sheets as (
    select
        files.*,
        profiles.header,
        profiles.profile,
        row_number() over feeds_sheets as sheet,
        lag(files.key) over feeds_sheets as key_before,
        round(files.rows_rejected::numeric / nullif(files.rows_read, 0), 4) as rejected_share
    from latest
    inner join files on latest.file_id = files.file_id
    inner join profiles on latest.file_id = profiles.file_id
    where latest.newest <= 40 and profiles.header is not null
    window feeds_sheets as (partition by files.feed order by files.received_at, files.file_id)
),

columns as (
    select
        sheets.feed,
        sheets.sheet,
        lower(btrim(listed.name)) as folded,
        min(btrim(listed.name)) as name
    from sheets
    cross join lateral jsonb_array_elements_text(sheets.header) as listed (name)
    where btrim(listed.name) != ''
    group by sheets.feed, sheets.sheet, folded
),

column_runs as (
    select
        *,
        lag(sheet) over (partition by feed, folded order by sheet) as sheet_before,
        lead(sheet) over (partition by feed, folded order by sheet) as sheet_after,
        count(*) over (
            partition by feed, folded order by sheet range between 9 preceding and current row
        ) as sheets_with_it
    from columns
),

words as (
    select
        sheets.feed,
        sheets.sheet,
        fields.field,
        listed.word,
        listed.lines::bigint as lines,
        lag(sheets.sheet) over (
            partition by sheets.feed, fields.field, lower(listed.word) order by sheets.sheet
        ) as sheet_before
    from sheets
    cross join lateral jsonb_each(sheets.profile -> 'words') as fields (field, words)
    cross join lateral jsonb_each_text(fields.words) as listed (word, lines)
),

word_fields as (
    select
        sheets.feed,
        sheets.sheet,
        fields.field,
        count(*) over (
            partition by sheets.feed, fields.field order by sheets.sheet range between 10 preceding and 1 preceding
        ) as sheets_before
    from sheets
    cross join lateral jsonb_object_keys(sheets.profile -> 'words') as fields (field)
),

figures as (
    select
        sheets.feed,
        sheets.sheet,
        medians.field,
        medians.figure::numeric as figure
    from sheets
    cross join lateral jsonb_each_text(sheets.profile -> 'medians') as medians (field, figure)
    where sheets.rows_read >= 20 -- of fewer rows, the middle one says little
    union all
    select
        feed,
        sheet,
        'rejected_share' as field,
        rejected_share as figure
    from sheets
    where rows_read >= 20
),

figure_runs as (
    select
        *,
        min(figure) over ten_before as lowest_before,
        max(figure) over ten_before as highest_before,
        count(*) over ten_before as sheets_before
    from figures
    window ten_before as (partition by feed, field order by sheet range between 10 preceding and 1 preceding)
),

changes as (
    select
        feed,
        sheet,
        'new column' as kind,
        name as subject,
        null::text as word,
        null::bigint as words,
        null::bigint as lines,
        null::numeric as figure,
        null::numeric as lowest_before,
        null::numeric as highest_before
    from column_runs
    where sheet > 1 and (sheet_before is null or sheet_before < sheet - 10)
    union all
    select
        column_runs.feed,
        column_runs.sheet + 1 as sheet,
        'column gone' as kind,
        column_runs.name as subject,
        null as word,
        null as words,
        null as lines,
        null as figure,
        null as lowest_before,
        null as highest_before
    from column_runs
    inner join sheets on column_runs.feed = sheets.feed and column_runs.sheet + 1 = sheets.sheet
    where
        (column_runs.sheet_after is null or column_runs.sheet_after > sheets.sheet)
        and column_runs.sheets_with_it = least(10, column_runs.sheet)
    union all
    select
        words.feed,
        words.sheet,
        'new word' as kind,
        words.field as subject,
        (array_agg(words.word order by words.lines desc, words.word asc))[1] as word,
        count(*) as words,
        sum(words.lines)::bigint as lines,
        null as figure,
        null as lowest_before,
        null as highest_before
    from words
    inner join word_fields
        on words.feed = word_fields.feed and words.sheet = word_fields.sheet and words.field = word_fields.field
    where
        word_fields.sheets_before >= 3
        and (words.sheet_before is null or words.sheet_before < words.sheet - 10)
    group by words.feed, words.sheet, words.field
    union all
    select
        feed,
        sheet,
        case when field = 'rejected_share' then 'more rejected' else 'other size' end as kind,
        field as subject,
        null as word,
        null as words,
        null as lines,
        figure,
        lowest_before,
        highest_before
    from figure_runs
    where
        sheets_before >= 3
        and case
            when field = 'rejected_share' then figure > highest_before + 0.05
            else figure > 3 * highest_before or 3 * figure < lowest_before
        end
),

final as (
    select
        sheets.feed,
        sheets.file_id,
        sheets.key,
        sheets.key_before,
        sheets.received_at,
        changes.kind,
        changes.subject,
        changes.word,
        changes.words,
        changes.lines,
        changes.figure,
        changes.lowest_before,
        changes.highest_before
    from changes
    inner join sheets on changes.feed = sheets.feed and changes.sheet = sheets.sheet
)

select * from final
