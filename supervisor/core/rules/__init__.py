"""What is decided, as functions of facts: each rule by itself."""
