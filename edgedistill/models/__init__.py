"""Teachers and students: building, loading, looking inside, and the views of them that export."""
