# Two-group tests, correlations, lines and means by base R.
# usage: Rscript group_tests.R INPUT_FOLDER OUTPUT_FOLDER
# reads  example_cohort/samples.csv from the input folder
# writes group_tests.json to the output folder: the data of each case and what R makes of them

suppressPackageStartupMessages(library(jsonlite))
arguments <- commandArgs(trailingOnly = TRUE)
input <- arguments[1]
output <- arguments[2]
RNGversion("4.0.0")
set.seed(20250530)

two_groups <- function(name, a, b) {
  ties <- any(duplicated(c(a, b)))
  asymptotic <- suppressWarnings(wilcox.test(a, b, exact = FALSE, correct = TRUE, conf.int = TRUE))
  exact <- if (!ties) wilcox.test(a, b, exact = TRUE, conf.int = TRUE)
  list(
    name = name, a = a, b = b, u = unname(asymptotic$statistic),
    p_asymptotic = asymptotic$p.value, interval_asymptotic = as.numeric(asymptotic$conf.int),
    p_exact = exact$p.value, shift_exact = unname(exact$estimate),
    interval_exact = if (!ties) as.numeric(exact$conf.int)
  )
}

pairs <- function(name, x, y) {
  pearson <- cor.test(x, y)
  spearman <- suppressWarnings(cor.test(x, y, method = "spearman", exact = FALSE))
  line <- lm(y ~ x)
  table <- summary(line)$coefficients
  list(
    name = name, x = x, y = y,
    pearson = unname(pearson$estimate), pearson_p = pearson$p.value,
    pearson_interval = as.numeric(pearson$conf.int),
    spearman = unname(spearman$estimate), spearman_p = spearman$p.value,
    intercept = table[1, 1], slope = table[2, 1], se = table[2, 2], slope_p = table[2, 4],
    slope_interval = as.numeric(confint(line)[2, ]), r2 = summary(line)$r.squared
  )
}

column <- function(name, values) {
  list(
    name = name, values = values, mean = mean(values), sd = sd(values),
    interval = as.numeric(t.test(values)$conf.int),
    quartiles = as.numeric(quantile(values, c(0.25, 0.5, 0.75)))
  )
}

groups <- list()
for (i in 1:60) {
  a <- rnorm(sample(3:25, 1)) + runif(1, 0, 1.5)
  b <- rnorm(sample(3:25, 1)) * runif(1, 0.5, 2)
  digits <- if (i %% 2) 6 else 1 # one decimal: many ties
  groups[[i]] <- two_groups(paste("random", i), round(a, digits), round(b, digits))
}
cohort <- read.csv(file.path(input, "example_cohort", "samples.csv"))
for (split in list(c("enhancing", "CET", "nCET"), c("grade", "HGG", "LGG"),
                   c("idh", "wt", "mut"), c("treatment", "TN", "R"))) {
  groups[[length(groups) + 1]] <- two_groups(
    paste("cohort", split[1]),
    cohort$CPM[cohort[[split[1]]] == split[2]], cohort$CPM[cohort[[split[1]]] == split[3]]
  )
}

correlations <- list()
for (i in 1:40) {
  n <- sample(5:40, 1)
  x <- rnorm(n)
  y <- runif(1, -2, 2) * x + rnorm(n)
  digits <- if (i %% 2) 6 else 1
  correlations[[i]] <- pairs(paste("random", i), round(x, digits), round(y, digits))
}
for (predictor in c("CPM", "ADC")) {
  correlations[[length(correlations) + 1]] <- pairs(
    paste("cohort", predictor), cohort[[predictor]], cohort$HE
  )
}

columns <- list(
  column("cohort HE", cohort$HE), column("cohort CPM", cohort$CPM),
  column("two", c(1.5, 4)), column("far from zero", 1e6 + c(1, 2, 4, 8, 16))
)

write_json(
  list(groups = groups, correlations = correlations, columns = columns),
  file.path(output, "group_tests.json"), digits = I(15), auto_unbox = TRUE, null = "null"
)
