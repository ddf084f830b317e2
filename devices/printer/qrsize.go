package printer

import "strings"

// qrCodewords are the data codewords of versions 1 to 40 by level of error correction (ISO/IEC 18004, table 7).
func qrCodewords(level string) []int {
	return map[string][]int{
		"L": {
			19, 34, 55, 80, 108, 136, 156, 194, 232, 274, 324, 370, 428, 461, 523, 589, 647, 721, 795, 861,
			932, 1006, 1094, 1174, 1276, 1370, 1468, 1531, 1631, 1735, 1843, 1955, 2071, 2191, 2306, 2434, 2566, 2702, 2812, 2956,
		},
		"M": {
			16, 28, 44, 64, 86, 108, 124, 154, 182, 216, 254, 290, 334, 365, 415, 453, 507, 563, 627, 669,
			714, 782, 860, 914, 1000, 1062, 1128, 1193, 1267, 1373, 1455, 1541, 1631, 1725, 1812, 1914, 1992, 2102, 2216, 2334,
		},
		"Q": {
			13, 22, 34, 48, 62, 76, 88, 110, 132, 154, 180, 206, 244, 261, 295, 325, 367, 397, 445, 485,
			512, 568, 614, 664, 718, 754, 808, 871, 911, 985, 1033, 1115, 1171, 1231, 1286, 1354, 1426, 1502, 1582, 1666,
		},
		"H": {
			9, 16, 26, 36, 46, 60, 66, 86, 100, 122, 140, 158, 180, 197, 223, 253, 283, 313, 341, 385,
			406, 442, 464, 514, 538, 596, 628, 661, 701, 745, 793, 845, 901, 961, 986, 1054, 1096, 1142, 1222, 1276,
		},
	}[level]
}

// qrSize is how many modules wide the smallest QR code (model 2) is that holds data, 0 where none does, or where there is
// no such level. Drawing the symbol would tell as well, but takes milliseconds.
func qrSize(data, level string) int {
	if level == "" {
		level = "M"
	}
	counts, bits := qrBits(data)
	for i, words := range qrCodewords(level) {
		version := i + 1
		count := counts[0]
		if version > 26 {
			count = counts[2]
		} else if version > 9 {
			count = counts[1]
		}
		if len(data) < 1<<count && 4+count+bits <= words*8 {
			return 17 + 4*version
		}
	}
	return 0
}

// qrBits is what data takes in its densest mode: the bits of its length in versions to 9, to 26 and to 40 (table 3), and
// the bits of itself.
func qrBits(data string) (counts [3]int, bits int) {
	n := len(data)
	switch {
	case allDigits(data):
		return [3]int{10, 12, 14}, n/3*10 + []int{0, 4, 7}[n%3]
	case strings.Trim(data, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:") == "":
		return [3]int{9, 11, 13}, n/2*11 + n%2*6
	}
	return [3]int{8, 16, 16}, n * 8
}
