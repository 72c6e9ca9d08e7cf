"""weights -> predictions: the bundle and the predictor. Never imports training."""
