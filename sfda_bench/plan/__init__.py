"""Planning: from selectors to stages with ids (names, configs, identity); nothing runs here."""
