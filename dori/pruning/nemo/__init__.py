"""NeMo, neuron by neuron."""
