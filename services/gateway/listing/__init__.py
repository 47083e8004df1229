"""Lists of anything: filters and sorts as tables, pages that hold still, cursors."""
