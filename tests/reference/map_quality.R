# Agreement, ICC, Cook's distance, a mixed model with an interaction, adjusted p values.
# usage: Rscript map_quality.R INPUT_FOLDER OUTPUT_FOLDER
# reads nothing; writes map_quality.json to the output folder

suppressPackageStartupMessages({
  library(lmerTest)
  library(psych)
  library(epiR)
  library(jsonlite)
})
output <- commandArgs(trailingOnly = TRUE)[2]

# Bland & Altman (1986): peak flow by two meters, first measurements
wright <- c(494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427)
mini <- c(512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451)
lin <- epi.ccc(wright, mini, ci = "z-transform")$rho.c

# Shrout & Fleiss (1979): six targets, four judges
ratings <- rbind(c(9, 2, 5, 8), c(6, 1, 3, 2), c(8, 4, 6, 8), c(7, 1, 2, 6), c(10, 5, 6, 9),
                 c(6, 2, 4, 7))
icc <- suppressMessages(ICC(ratings, lmer = FALSE))$results
single <- icc[icc$type == "ICC1", ]

growth <- as.data.frame(nlme::Orthodont)
growth$boy <- as.numeric(growth$Sex == "Male")
fit <- lmer(distance ~ age * boy + (1 | Subject), growth)
effect <- coef(summary(fit, ddf = "Satterthwaite"))["age:boy", ]

p <- c(0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.205, 0.9)

writeLines(toJSON(list(
  ccc = list(wright = wright, mini = mini, estimate = lin$est, low = lin$lower, high = lin$upper),
  icc = list(ratings = ratings, estimate = single$ICC, p = single$p, low = single$`lower bound`,
             high = single$`upper bound`),
  cook = list(x = cars$speed, y = cars$dist,
              distance = unname(cooks.distance(lm(dist ~ speed, cars)))),
  interaction = list(age = growth$age, boy = growth$boy, subject = as.character(growth$Subject),
                     distance = growth$distance, estimate = effect[["Estimate"]],
                     se = effect[["Std. Error"]], df = effect[["df"]], p = effect[["Pr(>|t|)"]]),
  adjusted = list(p = p, holm = p.adjust(p, "holm"), bh = p.adjust(p, "BH"))
), digits = NA, auto_unbox = TRUE, pretty = TRUE), file.path(output, "map_quality.json"))
