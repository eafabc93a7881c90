"""Images: sources, preparation, prepared datasets, batches."""
