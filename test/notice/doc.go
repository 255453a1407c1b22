// Package notice holds no code of the product: its test holds NOTICE to what the module is built from.
package notice
