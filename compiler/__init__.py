"""Model in, artifact out: graph, operators, front-ends, passes, schedule rules, driver."""
