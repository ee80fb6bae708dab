"""Pictures with exact captions: the training set of the default model, drawn by code and composed from free artwork."""
