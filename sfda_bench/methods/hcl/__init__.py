"""HCL: historical contrastive learning."""
