"""The data plane of Secateur: stages that prune, convert and measure; its door is ``import secateur``."""
