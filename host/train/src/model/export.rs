//! A trained model as a Hugging Face directory that transformers loads.
