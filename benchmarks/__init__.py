"""`make bench`: how fast keys are minted, beside what the API server allows and a textbook operator."""
