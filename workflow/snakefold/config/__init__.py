"""The circuit description: files to tree (parse), tree to typed nodes (nodes, types), nodes to the frozen plan (plan)."""
