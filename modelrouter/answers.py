from modelrouter.litellm_provider.answers import Assembly
