// Package wire holds the request and answer types of the API that no floor below owns, plain structs shared by the
// server and its clients. The objects of the floors (payments.Payment, offline.SaleView, printer.Job, devices.Info)
// are their own wire form.
//
// It is called by register and register/client and imports the roots of the floors below.
package wire
