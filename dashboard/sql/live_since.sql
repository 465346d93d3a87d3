-- The first date of which single lines are kept here; without a seam there is no row.
select live_since from ops.seam
