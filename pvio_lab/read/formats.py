"""The kinds of files that FFmpeg may open: those that are one video by themselves, and name no other file."""

from __future__ import annotations

# What FFmpeg's demuxers are called. Not among them: lists of other files and addresses (hls, dash, concat,
# sdp, imf, rtsp, webm_dash_manifest), what looks for its files by itself (image2, mlv, vobsub), scripts
# (avisynth, vapoursynth, lavfi), drawings that may name pictures (svg_pipe), devices, and whatever takes any
# text for a picture (tty, bin, adf, idf, xbin).
_CONTAINERS = """
    mov matroska avi flv live_flv kux mpegts mpegtsraw mpeg ogg asf asf_o mxf mxg nut wtv rm ivr dv gxf
    gif apng avif cine dhav dxa filmstrip fits frm ifv lmlm4 luodat lxf mgsts mods moflex mtv nc nsv nuv
    pdv pmp pva r3d ser smjpeg swf ty usm vividas vivo
"""
_RAW_STREAMS = """
    apv av1 avs2 avs3 cavsvideo dirac dnxhd evc h261 h263 h264 hevc ingenient ipu ivf m4v mjpeg
    mjpeg_2000 mpegvideo mpjpeg obu vc1 vc1test vvc yuv4mpegpipe
"""
_GAMES = """
    3dostr 4xm anm avs bethsoftvid bfi bink bmv c93 cdg cdxl dsicin ea film_cpk flic gdv hnm idcin iff
    ipmovie iss iv8 jv mm mv mvi paf psxstr rl2 roq rpl sdr2 sga siff smk smush thp tiertexseq tmv txd
    vmd wc3movie wsvqa xmv yop
"""
_PICTURES = """
    alias_pix bmp_pipe brender_pix cri_pipe dds_pipe dpx_pipe exr_pipe gem_pipe gif_pipe hdr_pipe ico
    j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim jpegxl_pipe jpegxs_pipe pam_pipe pbm_pipe pcx_pipe
    pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe pictor_pipe png_pipe ppm_pipe psd_pipe
    qdraw_pipe qoi_pipe sgi_pipe sunrast_pipe tiff_pipe vbn_pipe webp_pipe webp webp_anim xbm_pipe
    xpm_pipe xwd_pipe
"""
# They may hold a cover picture, and if not, there is a good word for what they are.
_SOUND = "aac ac3 aiff amr ape au caf dts dtshd eac3 flac mlp mp3 oma tak truehd tta voc w64 wav wv"

ONE_VIDEO = ",".join(f"{_CONTAINERS} {_RAW_STREAMS} {_GAMES} {_PICTURES} {_SOUND}".split())
"""The demuxers that may be used, as FFmpeg's `format_whitelist` has them."""

# How lists of other files begin, or what stands in them.
_LISTS = {
    b"#EXTM3U": "an HLS or M3U playlist",
    b"ffconcat version": "an ffconcat list",
    b"<MPD": "a DASH manifest",
    b"<SmoothStreamingMedia": "a Smooth Streaming manifest",
    b"<CompositionPlaylist": "an IMF playlist",
    b"<AssetMap": "an IMF asset map",
    b"c=IN IP": "an SDP description of a network stream",
    b"[playlist]": "a PLS playlist",
    b"[Reference]": "an ASX playlist",
    b"<asx": "an ASX playlist",
    b"<smil": "a SMIL playlist",
    b"rtsp://": "a list of network streams",
}
_HEAD_BYTES = 4096


def refusal(path: str) -> str | None:
    """Return a clause about a file that is a list of others, or None where it seems to be something else.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    name = next((words for sign, words in _LISTS.items() if sign in head), None)
    if name is None:
        return None
    return (
        f"is {name}: it names other files, and these are never opened; give the name of a video file itself"
    )
