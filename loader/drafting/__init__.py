"""What a sheet tells of its feed, for a person who is to write it; a load never guesses.

`draft` tells the story: `recognition` reads a sample, `columns` finds which column is which field, in the words of
`vocabulary`, `dates` how its dates are written, `proof` and `belonging` what cells prove without words, `amounts` and
`totals` what a line is worth, `pairs` which orders are those of which items, and `writing` writes the YAML.
`advice` says what would mend rejected rows, and `comparing` what a later sheet has otherwise.
"""
