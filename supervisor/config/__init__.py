"""What a run is told. Import the parts by name: pydantic is not free, and `status` needs none."""
