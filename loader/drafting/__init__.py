"""What a sheet tells of its feed, for a person who is to write it; a load never guesses.

`draft` tells the story: `recognition` reads a sample, `columns` finds which column is which field, in the words of
`vocabulary`, `proof` what cells prove without them, `amounts` what a line is worth, and `writing` writes the YAML.
`advice` says what would mend rejected rows, and `comparing` what a later sheet has otherwise.
"""
