"""Public stand-ins for every port, for lnrecur's tests and for yours."""
