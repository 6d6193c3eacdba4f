"""What figures say, in one phrase each; a system's own are in `System.explained`."""

PHRASES = {
    "psnr": "peak signal-to-noise ratio of output and truth in dB; higher is better, 48.13 at most",
    "ssim": "structural similarity of output and truth, alike at 1",
    "ms_ssim": "structural similarity over five scales, alike at 1",
    "lpips": "perceptual distance of output and truth by AlexNet's features, alike at 0",
    "lpips_vgg": "perceptual distance of output and truth by VGG-16's features, alike at 0",
    "fd": "distance of the two sets' features taken for normal distributions; lower is better",
    "fid": "distance of the two sets' features taken for normal distributions; lower is better",
    "kid": "distance of the two sets' features by a polynomial kernel, unbiased; lower is better",
    "is": "how sure a classifier is of each image, and how various it finds them all; higher is better",
    "precision": "share of generated images that lie among the real ones",
    "recall": "share of real images that lie among the generated ones",
}
