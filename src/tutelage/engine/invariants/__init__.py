"""What must hold for every objective and adapter, ours or an outsider's: run by the tests and by `tutelage prove NAME`."""
