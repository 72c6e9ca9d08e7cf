"""Looking inside a network: its layers, where it looks (Grad-CAM), its filters and feature maps."""
