"""The API's calls, one module per kind of resource; `client.CampaignMonitor` has them all."""
