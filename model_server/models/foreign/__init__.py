"""Models of other packages behind the protocol of forecast models: what they call a field (`lexicon`), which of ours
that is and where it stands (`exchange`), what they have beside it (`beginning`), and a member's step (`stepped`)."""
