"""How offspring are made: operators with and without a language model, and the gateway to the models."""
