"""What the actions of the app do, noun by noun: mixins of the app."""
