"""The circuit description: files to a tree with marks (parse), and the typed tree (nodes, types, context)."""
