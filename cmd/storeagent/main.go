// Command storeagent stands between register software, the hardware on the counter and the POS cloud. This package is
// the only wiring: the command line, the driver table and the supervision. No rule of the business lives here.
package main

func main() {}
