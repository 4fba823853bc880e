# Reported p values judged by the R package statcheck.
# usage: Rscript statcheck.R INPUT_FOLDER OUTPUT_FOLDER
# writes statcheck.csv: statistic and p as texts, p computed, whether an error, whether one that changes
# the decision at .05

suppressPackageStartupMessages(library(statcheck))
output <- commandArgs(trailingOnly = TRUE)[2]

rows <- read.csv(text = "test,df1,df2,value,p
t,,28,2.20,= .03
t,,28,2.2,= .03
t,,28,2.2,= .04
t,,28,2.2,= .02
t,,28,2.2,= .08
t,,28,2.20,= .06
t,,28,2.20,= .036
t,,28,2.20,< .05
t,,28,2.20,> .05
t,,28,2.20,< .001
F,2,28,2.20,= .13
F,2,28,2.2,= .12
F,2,28,2.20,= .04
F,1,40,4.1,= .05
r,,28,.22,= .24
r,,28,.22,= .25
r,,28,.2,= .30
r,,28,.22,= .05
z,,,2.20,= .028
z,,,2.2,= .03
z,,,2.20,= .05
z,,,1.96,> .05
chi2,28,,22.20,= .77
chi2,28,,22.20,= .78
chi2,1,,3.9,= .05
chi2,1,,3.90,< .01", colClasses = "character", strip.white = TRUE)

said <- function(row) {
  head <- switch(row[["test"]],
    t = sprintf("t(%s) = %s", row[["df2"]], row[["value"]]),
    F = sprintf("F(%s, %s) = %s", row[["df1"]], row[["df2"]], row[["value"]]),
    r = sprintf("r(%s) = %s", row[["df2"]], row[["value"]]),
    z = sprintf("It was z = %s", row[["value"]]),
    chi2 = sprintf("\u03c72(%s, N = 100) = %s", row[["df1"]], row[["value"]])
  )
  sprintf("%s, p %s", head, row[["p"]])
}

found <- lapply(seq_len(nrow(rows)), function(i) {
  suppressMessages(statcheck(said(rows[i, ]), messages = FALSE))
})
stopifnot(all(vapply(found, nrow, 1L) == 1))
table <- do.call(rbind, found)
rows$computed <- sprintf("%.10g", table$computed_p)
rows$error <- table$error
rows$decision_error <- table$decision_error
write.csv(rows, file.path(output, "statcheck.csv"), row.names = FALSE, quote = FALSE)
