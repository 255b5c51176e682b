"""Who may call and how often: API keys, rate limits, and checks of the settings before the gateway starts."""
