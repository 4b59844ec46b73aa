"""siftcli behind the interfaces of other programs. Each module is imported by those who have that program."""
