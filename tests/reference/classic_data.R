# Small classic data sets, as R and MASS carry them.
# usage: Rscript classic_data.R INPUT_FOLDER OUTPUT_FOLDER (the input folder is not read)
# writes classic_data.csv to the output folder: data set, x, y; a column of values has no x

suppressPackageStartupMessages(library(MASS))
output <- commandArgs(trailingOnly = TRUE)[2]

set <- function(name, x, y) data.frame(data = name, x = x, y = y)
animals <- MASS::Animals
all <- rbind(
  set("phones", MASS::phones$year, MASS::phones$calls),
  set("animals", animals$body, animals$brain),
  set("anscombe-1", anscombe$x1, anscombe$y1),
  set("anscombe-3", anscombe$x3, anscombe$y3),
  set("cars", cars$speed, cars$dist),
  set("newcomb", NA, MASS::newcomb)
)
write.csv(all, file.path(output, "classic_data.csv"), row.names = FALSE, quote = FALSE, na = "")
