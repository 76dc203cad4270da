"""What the tests of the operator stand on: a real API server, the operator as a process, and patience."""
