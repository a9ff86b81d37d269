"""What bytes of one kind of file can prove by themselves; nothing is unpickled."""
