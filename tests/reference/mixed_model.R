# Random-intercept models fitted by lme4 and tested by lmerTest (Satterthwaite).
# usage: Rscript mixed_model.R INPUT_FOLDER OUTPUT_FOLDER
# reads  example_cohort/samples.csv, two_optima.csv from the input folder
# writes sleepstudy.csv, random_designs.csv.gz, mixed_model.csv to the output folder

suppressPackageStartupMessages(library(lmerTest))
arguments <- commandArgs(trailingOnly = TRUE)
input <- arguments[1]
output <- arguments[2]
RNGversion("4.0.0")
set.seed(20250529)

# Tolerances far below lme4's defaults (1e-8), so that the optimiser is not what limits the digits.
control <- lmerControl(
  optimizer = "nloptwrap",
  optCtrl = list(algorithm = "NLOPT_LN_BOBYQA", xtol_abs = 1e-14, xtol_rel = 1e-14,
                 ftol_abs = 1e-14, ftol_rel = 0, maxeval = 10000),
  calc.derivs = FALSE, check.conv.singular = "ignore", check.scaleX = "ignore"
)

fit_from <- function(start, data, reml) {
  lmer(y ~ x + (1 | patient), data, REML = reml, control = control, start = start)
}

# Several starts: the best of them is the fit; one: lme4's usual start is 1.
fit_one <- function(name, data, reml, starts = 1) {
  fits <- lapply(starts, fit_from, data = data, reml = reml)
  fit <- fits[[which.max(sapply(fits, function(fit) as.numeric(logLik(fit))))]]
  table <- coef(summary(fit, ddf = "Satterthwaite"))
  variances <- as.data.frame(VarCorr(fit))$vcov
  data.frame(
    name = name, estimation = if (reml) "REML" else "ML", n = nrow(data),
    theta = unname(getME(fit, "theta")),
    intercept = table[1, 1], slope = table[2, 1],
    se_intercept = table[1, 2], se_slope = table[2, 2],
    df_intercept = table[1, 3], df_slope = table[2, 3], p_slope = table[2, 5],
    var_patient = variances[1], var_residual = variances[2],
    log_likelihood = as.numeric(logLik(fit))
  )
}

fit_both <- function(name, data, ...) {
  rbind(fit_one(name, data, TRUE, ...), fit_one(name, data, FALSE, ...))
}

random_design <- function(number) {
  n_patients <- sample(4:30, 1)
  size <- sample(1:5, n_patients, replace = TRUE, prob = c(0.3, 0.25, 0.2, 0.15, 0.1))
  size[1:2] <- pmax(size[1:2], 2)
  patient <- rep(seq_len(n_patients), size)
  n <- length(patient)
  icc <- sample(c(0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95), 1)
  x <- rnorm(n) + sample(c(0, 1, 3), 1) * rnorm(n_patients)[patient]
  y <- rnorm(1) * x + sqrt(icc) * rnorm(n_patients)[patient] + sqrt(1 - icc) * rnorm(n)
  data.frame(
    design = number, patient = patient,
    x = signif((x + 3 * rnorm(1)) * 10^runif(1, -2, 3), 7),
    y = signif((y + 3 * rnorm(1)) * 10^runif(1, -2, 3), 7)
  )
}

results <- data.frame()

data(sleepstudy, package = "lme4")
sleep <- data.frame(patient = sleepstudy$Subject, x = sleepstudy$Days, y = sleepstudy$Reaction)
results <- rbind(results, fit_both("sleepstudy", sleep))

cohort <- read.csv(file.path(input, "example_cohort", "samples.csv"))
for (subset in c("whole", "naive", "recurrent")) {
  rows <- switch(subset, whole = TRUE, naive = cohort$treatment == "TN",
                 recurrent = cohort$treatment == "R")
  for (predictor in c("CPM", "ADC")) {
    part <- cohort[rows, ]
    data <- data.frame(patient = part$patient, x = part[[predictor]], y = part$HE)
    results <- rbind(results, fit_both(paste(subset, predictor), data))
  }
}

designs <- lapply(1:240, random_design)
for (design in designs) {
  results <- rbind(results, fit_both(paste("design", design$design[1]), design))
}

two_optima <- read.csv(file.path(input, "two_optima.csv"))
for (design in split(two_optima, two_optima$design)) {
  name <- paste("optima", design$design[1])
  results <- rbind(results, fit_both(name, design))
  results <- rbind(results, fit_both(paste(name, "restarted"), design, starts = c(0, 0.3, 1, 5)))
}

for (column in names(results)) {
  if (is.double(results[[column]])) {
    results[[column]] <- trimws(formatC(results[[column]], digits = 15, format = "g"))
  }
}
write.csv(sleep, file.path(output, "sleepstudy.csv"), row.names = FALSE, quote = FALSE)
write.csv(results, file.path(output, "mixed_model.csv"), row.names = FALSE, quote = FALSE)
packed <- gzfile(file.path(output, "random_designs.csv.gz"), "w")
write.csv(do.call(rbind, designs), packed, row.names = FALSE, quote = FALSE)
close(packed)
