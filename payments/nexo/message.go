package nexo

import "encoding/json"

// Messages of the nexo Retailer protocol 3.0 as the Adyen Terminal API writes them in JSON: only the fields that we
// send or read. Amounts are JSON numbers and are read and written as text (json.Number), never as floats.

const protocolVersion = "3.0"

// Message categories.
const (
	catAbort          = "Abort"
	catDiagnosis      = "Diagnosis"
	catDisplay        = "Display"
	catGetTotals      = "GetTotals"
	catLogin          = "Login"
	catPayment        = "Payment"
	catPrint          = "Print"
	catReconciliation = "Reconciliation"
	catReversal       = "Reversal"
	catStatus         = "TransactionStatus"
)

// header begins every message.
type header struct {
	ProtocolVersion string
	MessageClass    string
	MessageCategory string
	MessageType     string
	SaleID          string
	ServiceID       string
	POIID           string
}

// request is the clear text of what we send, inside SaleToPOIRequest.
type request struct {
	MessageHeader            header
	AbortRequest             *abortRequest             `json:",omitempty"`
	DiagnosisRequest         *diagnosisRequest         `json:",omitempty"`
	DisplayRequest           *displayRequest           `json:",omitempty"`
	GetTotalsRequest         *getTotalsRequest         `json:",omitempty"`
	LoginRequest             *loginRequest             `json:",omitempty"`
	PaymentRequest           *paymentRequest           `json:",omitempty"`
	PrintRequest             *printRequest             `json:",omitempty"`
	ReconciliationRequest    *reconciliationRequest    `json:",omitempty"`
	ReversalRequest          *reversalRequest          `json:",omitempty"`
	TransactionStatusRequest *transactionStatusRequest `json:",omitempty"`
}

// response is the clear text of an answer, inside SaleToPOIResponse.
type response struct {
	MessageHeader             header
	DiagnosisResponse         *diagnosisResponse         `json:",omitempty"`
	DisplayResponse           *displayResponse           `json:",omitempty"`
	GetTotalsResponse         *totalsResponse            `json:",omitempty"`
	LoginResponse             *loginResponse             `json:",omitempty"`
	PaymentResponse           *paymentResponse           `json:",omitempty"`
	PrintResponse             *printResponse             `json:",omitempty"`
	ReconciliationResponse    *totalsResponse            `json:",omitempty"`
	ReversalResponse          *reversalResponse          `json:",omitempty"`
	TransactionStatusResponse *transactionStatusResponse `json:",omitempty"`
}

// result is how an answer says that something worked or why not.
type result struct {
	Result             string // Success, Partial or Failure
	ErrorCondition     string
	AdditionalResponse string // form-encoded, or base64 of JSON; may hold BIN and expiry of a card
}

const (
	resultSuccess = "Success"
	resultPartial = "Partial"
	resultFailure = "Failure"
)

// transactionID names a transaction of either side.
type transactionID struct {
	TransactionID string
	TimeStamp     string // RFC 3339
}

type saleData struct {
	SaleTransactionID  transactionID
	SaleToAcquirerData string `json:",omitempty"` // form-encoded
}

type paymentRequest struct {
	SaleData           saleData
	PaymentTransaction paymentTransaction
	PaymentData        *paymentData `json:",omitempty"`
}

type paymentTransaction struct {
	AmountsReq amountsReq
}

type amountsReq struct {
	Currency        string
	RequestedAmount json.Number // with the tip
	TipAmount       json.Number `json:",omitempty"`
}

type paymentData struct {
	PaymentType string // Refund; Normal where left out
}

type paymentResponse struct {
	Response       result
	POIData        poiData
	PaymentResult  paymentResult
	PaymentReceipt []paymentReceipt
}

type poiData struct {
	POITransactionID transactionID
}

type paymentResult struct {
	AuthenticationMethod  []string
	AmountsResp           amountsResp
	PaymentInstrumentData struct {
		CardData cardData
	}
	PaymentAcquirerData struct {
		ApprovalCode string
	}
}

type amountsResp struct {
	Currency         string
	AuthorizedAmount json.Number
}

// cardData leaves out what must not be kept: expiry, tracks, BIN.
type cardData struct {
	EntryMode    []string
	MaskedPan    maskedPAN
	PaymentBrand string
}

type paymentReceipt struct {
	DocumentQualifier     string // CashierReceipt, CustomerReceipt
	RequiredSignatureFlag bool
	OutputContent         outputContent
}

type outputContent struct {
	OutputFormat string // Text
	OutputText   []outputText
}

type outputText struct {
	Text          string
	EndOfLineFlag *bool `json:",omitempty"` // true where left out
}

type reversalRequest struct {
	SaleData               *saleData `json:",omitempty"`
	OriginalPOITransaction originalTransaction
	ReversalReason         string
	ReversedAmount         json.Number `json:",omitempty"` // all of it where left out
}

type originalTransaction struct {
	POITransactionID transactionID
}

type reversalResponse struct {
	Response       result
	POIData        poiData
	ReversedAmount json.Number
	PaymentReceipt []paymentReceipt
}

type messageReference struct {
	MessageCategory string
	SaleID          string
	ServiceID       string
}

type abortRequest struct {
	AbortReason      string
	MessageReference messageReference
}

type transactionStatusRequest struct {
	ReceiptReprintFlag bool
	DocumentQualifier  []string `json:",omitempty"`
	MessageReference   messageReference
}

type transactionStatusResponse struct {
	Response                result
	RepeatedMessageResponse *struct {
		MessageHeader               header
		RepeatedResponseMessageBody struct {
			PaymentResponse  *paymentResponse
			ReversalResponse *reversalResponse
		}
	}
}

type diagnosisRequest struct {
	HostDiagnosisFlag bool
}

type diagnosisResponse struct {
	Response  result
	POIStatus struct {
		GlobalStatus string // OK, Busy, Maintenance, Unreachable
	}
}

type loginRequest struct {
	DateTime         string
	SaleSoftware     software
	SaleTerminalData saleTerminalData
	OperatorLanguage string
}

type software struct {
	ManufacturerID    string
	ApplicationName   string
	SoftwareVersion   string
	CertificationCode string
}

type saleTerminalData struct {
	TerminalEnvironment string
	SaleCapabilities    []string
}

type loginResponse struct {
	Response      result
	POISystemData struct {
		POISoftware     software
		POITerminalData struct {
			POISerialNumber string
		}
	}
}

type displayRequest struct {
	DisplayOutput []displayOutput
}

type displayOutput struct {
	Device             string
	InfoQualify        string
	MinimumDisplayTime int `json:",omitempty"` // seconds
	OutputContent      outputContent
}

type displayResponse struct {
	OutputResult []struct {
		Response result
	}
}

type printRequest struct {
	PrintOutput printOutput
}

type printOutput struct {
	DocumentQualifier string
	ResponseMode      string
	OutputContent     outputContent
}

type printResponse struct {
	Response result
}

type reconciliationRequest struct {
	ReconciliationType string
}

type getTotalsRequest struct{}

// totalsResponse is the answer to Reconciliation and to GetTotals.
type totalsResponse struct {
	Response          result
	TransactionTotals []struct {
		CardBrand       string
		PaymentCurrency string
		PaymentTotals   []struct {
			TransactionType   string
			TransactionCount  int
			TransactionAmount json.Number
		}
	}
}
