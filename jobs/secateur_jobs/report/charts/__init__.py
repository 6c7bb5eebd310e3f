"""Charts as inline SVG: pure functions from numbers to markup, coloured by the page's own CSS classes."""
