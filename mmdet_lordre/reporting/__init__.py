"""What a model does well and where it fails: numbers, and a page that shows them."""
