"""Fine-tune text-embedding models for retrieval in one domain, and prove whether it helped."""
