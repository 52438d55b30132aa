# Every configuration of conf.example/ passes the configuration test of its server as it stands, but for the place of
# the module.
use strict;
use warnings;
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use Test::More;

my $build = getcwd() . '/' . ($ENV{HEARTBEAT_BUILD} // 'build');
for my $file (glob 'conf.example/*.conf') {
    my $folder = tempdir(CLEANUP => 1);
    mkdir "$folder/site";
    system("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout $folder/https.key -out $folder/https.crt 2>/dev/null;"
        . " openssl rand -hex 32 > $folder/token.key") == 0 or die 'openssl';
    open my $in, '<', $file or die $!;
    my $text = do { local $/; <$in> };
    $text =~ s{\S*/((ngx_http_heartbeat_module|mod_http_heartbeat)\.so)}{$build/$1};
    open my $out, '>', "$folder/conf" or die $!;
    print $out $text;
    close $out;
    my $said = $file =~ /nginx/ ? `nginx -t -p $folder -c $folder/conf 2>&1` : `apache2 -t -d $folder -f $folder/conf 2>&1`;
    is($?, 0, $file) or diag $said;
}
done_testing;
